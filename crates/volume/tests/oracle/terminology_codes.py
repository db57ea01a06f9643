"""Checks every code of data/structures.tsv against DICOM PS3.16, as pydicom carries it.

Run: python terminology_codes.py          (pydicom 3.0.2)
Last result: 332 codes; 283 known to PS3.16; 49 (muscles, numbered ribs, small bones and a few more) are those of
TotalSegmentator's own SNOMED table (totalsegmentator/resources/totalsegmentator_snomed_mapping.csv).
"""

import pathlib
import pydicom.sr._concepts_dict as concepts

known = {code for entry in concepts.concepts["SCT"].values() for code in entry}
table = pathlib.Path(__file__).parents[2] / "data" / "structures.tsv"
rows = [line.split("\t") for line in table.read_text().splitlines() if line and not line.startswith("#")][1:]
coded = [row for row in rows if row[5]]
others = [row for row in coded if row[5] not in known]
print(f"{len(coded)} codes; {len(coded) - len(others)} known to PS3.16; {len(others)} from elsewhere:")
for row in others:
    print(" ", row[5], row[6], f"({row[0]})")
