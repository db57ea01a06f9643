// The Khronos validator on GLB files: exits 1 unless each has 0 errors and 0 warnings.
//
// In any folder outside the checkout:
// npm install gltf-validator
// node CHECKOUT/crates/case/tests/oracle/validate.mjs CASE/anatomy.glb …
//
// Infos that are expected: UNSUPPORTED_EXTENSION (the validator does not know MSFT_lod) and UNUSED_OBJECT for each
// coarser node and its mesh's views, which only MSFT_lod refers to.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const validator = createRequire(`${process.cwd()}/`)('gltf-validator');

const EXPECTED = new Set(['UNSUPPORTED_EXTENSION', 'UNUSED_OBJECT']);
let failed = false;
for (const file of process.argv.slice(2)) {
  const report = await validator.validateBytes(new Uint8Array(readFileSync(file)), { maxIssues: 0 });
  const { numErrors, numWarnings, numInfos, messages } = report.issues;
  const surprising = messages.filter((m) => !EXPECTED.has(m.code));
  console.log(`${numErrors} errors, ${numWarnings} warnings, ${numInfos} infos: ${report.info.totalTriangleCount} triangles`);
  for (const m of surprising.slice(0, 20)) console.log(`  ${m.code} ${m.pointer ?? ''} ${m.message}`);
  failed ||= numErrors + numWarnings > 0 || surprising.length > 0;
}
process.exit(failed ? 1 : 0);
