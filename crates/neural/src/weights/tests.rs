use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn archive_by(method: CompressionMethod, pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("checkpoint/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("data.pkl", pickle);
    add("byteorder", b"little");
    for (key, bytes) in storages {
        add(&format!("data/{key}"), bytes);
    }
    zip.finish().unwrap().into_inner()
}

fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    archive_by(CompressionMethod::Stored, pickle, storages)
}

/// A pickle of protocol 2 for `{"w": tensor}`.
fn one_tensor(kind: &str, key: &str, count: u32, offset: u32, size: &[u32], stride: &[u32]) -> Vec<u8> {
    let mut p = b"\x80\x02}X\x01\x00\x00\x00w".to_vec();
    p.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage");
    p.extend(format!("ctorch\n{kind}\nX").bytes());
    p.extend((key.len() as u32).to_le_bytes());
    p.extend(key.bytes());
    p.extend(b"X\x03\x00\x00\x00cpuJ");
    p.extend(count.to_le_bytes());
    p.extend(b"tQJ");
    p.extend(offset.to_le_bytes());
    for list in [size, stride] {
        p.push(b'(');
        for n in list {
            p.push(b'J');
            p.extend(n.to_le_bytes());
        }
        p.push(b't');
    }
    p.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    p
}

fn tensors(bytes: &[u8]) -> Result<Tensors, NeuralError> {
    let checkpoint = Checkpoint::read(bytes)?;
    checkpoint.tensors(checkpoint.root())
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn fails(bytes: &[u8], word: &str) {
    let error = tensors(bytes).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
}

#[test]
fn numbers_of_every_width_become_single() {
    let check = |kind: &str, bytes: &[u8]| {
        let read = tensors(&archive(&one_tensor(kind, "0", 3, 0, &[3], &[1]), &[("0", bytes)])).unwrap();
        assert_eq!(values(&read["w"]), [1.5, -2.0, 0.25], "{kind}");
    };
    let numbers = [1.5f32, -2.0, 0.25];
    check("FloatStorage", &numbers.map(f32::to_le_bytes).concat());
    check("DoubleStorage", &numbers.map(|x| f64::from(x).to_le_bytes()).concat());
    check("HalfStorage", &numbers.map(|x| half::f16::from_f32(x).to_le_bytes()).concat());
    check("BFloat16Storage", &numbers.map(|x| half::bf16::from_f32(x).to_le_bytes()).concat());
    let whole =
        tensors(&archive(&one_tensor("LongStorage", "0", 1, 0, &[], &[]), &[("0", &(-7i64).to_le_bytes())])).unwrap();
    assert_eq!(whole["w"].to_scalar::<f32>().unwrap(), -7.0);
}

#[test]
fn strides_and_offsets_are_followed() {
    let bytes: Vec<u8> = (0..8).flat_map(|n| (n as f32).to_le_bytes()).collect();
    // The transpose of [[1, 2, 3], [4, 5, 6]].
    let pickle = one_tensor("FloatStorage", "7", 8, 1, &[3, 2], &[1, 3]);
    let read = tensors(&archive(&pickle, &[("7", &bytes)])).unwrap();
    assert_eq!(read["w"].dims(), [3, 2]);
    assert_eq!(values(&read["w"]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let four = [0u8; 16];
    let with = |pickle: Vec<u8>| archive(&pickle, &[("0", &four)]);
    let float =
        |count, offset, size: &[u32], stride: &[u32]| one_tensor("FloatStorage", "0", count, offset, size, stride);
    assert_eq!(tensors(&with(float(4, 0, &[2, 2], &[2, 1]))).unwrap()["w"].dims(), [2, 2]);
    fails(&with(float(5, 0, &[5], &[1])), "has 4 numbers");
    fails(&with(float(4, 0, &[5], &[1])), "reaches beyond");
    fails(&with(float(4, 1, &[4], &[1])), "reaches beyond");
    fails(&with(float(4, 0, &[2, 2], &[4, 1])), "reaches beyond");
    // A stride of zero would make gigabytes of four numbers.
    fails(&with(float(4, 0, &[0x7fff_ffff, 2], &[0, 0])), "reaches beyond");
    fails(&with(float(4, 0, &[0x7fff_ffff; 4], &[0; 4])), "larger than any memory");
    fails(&with(float(4, 0, &[2, 2], &[1])), "strides");
    fails(&with(float(4, 0, &[1; 9], &[1; 9])), "strides");
    fails(&with(one_tensor("FloatStorage", "1", 4, 0, &[4], &[1])), "`1` is missing");
    fails(&with(one_tensor("QInt8Storage", "0", 4, 0, &[4], &[1])), "QInt8Storage");
    fails(&with(float(0x8000_0000, 0, &[4], &[1])), "negative");
}

#[test]
fn archives_that_are_none_are_refused() {
    let good = archive(&one_tensor("FloatStorage", "0", 4, 0, &[4], &[1]), &[("0", &[7; 16])]);
    assert!(tensors(&good).is_ok());
    fails(b"", "zip");
    fails(b"not a zip archive at all", "zip");
    fails(&good[..good.len() - 30], "zip");
    fails(b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "before PyTorch 1.6");
    fails(&archive(b"N.", &[]), "no dictionary");
    fails(&archive(b"}.", &[]), "no tensors");
    // An archive of zeros unfolds to a thousand times its size.
    fails(&archive_by(CompressionMethod::Deflated, &vec![b'N'; 1 << 20], &[]), "compressed");
    let mut damaged = good.clone();
    let at = damaged.windows(16).position(|w| w == [7; 16]).unwrap();
    damaged[at] ^= 1;
    fails(&damaged, "checksum");
}

/// Files that would run a command in Python, each in another way.
#[test]
fn attacks_are_refused_and_run_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let command = format!("touch {}", mark.display());
    let text = |t: &str| [b"X".as_slice(), &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
    let c = text(&command);
    let join = |parts: &[&[u8]]| parts.concat();
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        ("REDUCE", join(&[b"cposix\nsystem\n(", &c, b"tR."])),
        ("REDUCE of os", join(&[b"\x80\x02cos\nsystem\n", &c, b"\x85R."])),
        ("STACK_GLOBAL", join(&[b"\x80\x04", &text("subprocess"), &text("call"), b"\x93", &c, b"\x85R."])),
        ("NEWOBJ", join(&[b"\x80\x02csubprocess\nPopen\n", &c, b"\x85\x81."])),
        ("NEWOBJ_EX", join(&[b"\x80\x04csubprocess\nPopen\n", &c, b"\x85}\x92."])),
        ("INST", format!("(S'{command}'\nios\nsystem\n.").into_bytes()),
        ("OBJ", join(&[b"(cos\nsystem\n", &c, b"o."])),
        ("eval", join(&[b"cbuiltins\neval\n", &text(&format!("__import__('os').system('{command}')")), b"\x85R."])),
        ("exec of Python 2", join(&[b"c__builtin__\nexec\n", &c, b"\x85R."])),
        ("getattr", join(&[b"cbuiltins\ngetattr\n(cos\npath\n", &text("os"), b"tR."])),
        ("in a value of a dictionary", join(&[b"}X\x01\x00\x00\x00wcposix\nsystem\n", &c, b"\x85Rs."])),
        ("under a popped value", join(&[b"cposix\nsystem\n", &c, b"\x85R0}."])),
        ("by memo", join(&[b"cposix\nsystem\nq\x010h\x01", &c, b"\x85R."])),
        ("dotted name", join(&[b"ctorch\nserialization.os.system\n", &c, b"\x85R."])),
        ("state", join(&[b"cos\nsystem\n}", &text("__setstate__"), b"cos\nsystem\nsb."])),
        ("called result", join(&[b"ctorch\ndevice\n", &c, b"\x85R", &c, b"\x85R."])),
    ];
    for (name, pickle) in attacks {
        let error = Checkpoint::read(&archive(&pickle, &[])).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("may be an attack") || error.contains("where it needs"), "{name}: {error}");
        assert!(error.contains("PyTorch checkpoint"), "{name}: {error}");
    }
    assert!(!mark.exists(), "a command was run");
}

#[test]
fn an_attack_is_named() {
    let error = Checkpoint::read(&archive(b"cposix\nsystem\n(S'id'\ntR.", &[])).unwrap_err().to_string();
    assert!(error.contains("`posix.system`") && error.contains("nothing of it was run"), "{error}");
}

#[test]
fn harmless_objects_stay_opaque() {
    let pickle = b"}X\x01\x00\x00\x00dctorch\ndevice\nX\x03\x00\x00\x00cpu\x85Rs.";
    let bytes = archive(pickle, &[]);
    let checkpoint = Checkpoint::read(&bytes).unwrap();
    assert_eq!(checkpoint.root().get("d").unwrap().kind(), Kind::Opaque("torch.device"));
    // A name that is never called does nothing, whatever it is.
    let bytes = archive(b"]cos\nsystem\na.", &[]);
    let checkpoint = Checkpoint::read(&bytes).unwrap();
    assert_eq!(checkpoint.root().items().next().unwrap().kind(), Kind::Opaque("system"));
}

#[test]
fn values_that_contain_themselves_are_refused() {
    fails(&archive(b"]q\x00h\x00a.", &[]), "contains itself");
    fails(&archive(b"}q\x00X\x01\x00\x00\x00ah\x00s.", &[]), "contains itself");
    fails(&archive(b"]q\x00(h\x00ta.", &[]), "contains itself");
}

#[test]
fn deep_nesting_is_refused() {
    let mut pickle = vec![b']'; 500_000];
    pickle.extend(vec![b'a'; 499_999]);
    pickle.push(b'.');
    fails(&archive(&pickle, &[]), "nested deeper");
}

#[test]
fn shared_values_do_not_unfold_without_end() {
    // Forty lists, each twice in the next: a million million values.
    let mut pickle = b"]q\x00".to_vec();
    for n in 1..40u8 {
        pickle.extend([b']', b'(', b'h', n - 1, b'h', n - 1, b'e', b'q', n]);
    }
    pickle.push(b'.');
    let bytes = archive(&pickle, &[]);
    let checkpoint = Checkpoint::read(&bytes).unwrap();
    let error = checkpoint.root().to_json().unwrap_err().to_string();
    assert!(error.contains("unfold"), "{error}");
}

#[test]
fn copies_do_not_become_a_flood() {
    // A long text, again and again in place of a parameter's tensor.
    let mut pickle = b"ctorch._utils\n_rebuild_parameter\nq\x00X\x00\x00\x10\x00".to_vec();
    pickle.extend(vec![b'a'; 1 << 20]);
    pickle.extend(b"q\x01");
    for _ in 0..1000 {
        pickle.extend(b"h\x00h\x01\x85R");
    }
    pickle.push(b'.');
    fails(&archive(&pickle, &[]), "flood");
}

#[test]
fn broken_pickles_are_refused() {
    for (pickle, word) in [
        (b"".as_slice(), "ends before"),
        (b"N", "ends before"),
        (b"X\xff\xff\xff\x7fabc.", "ends before"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "ends before"),
        (b".", "more than it has put"),
        (b"R.", "more than it has put"),
        (b"NR.", "more than it has put"),
        (b"(N0R.", "more than it has put"),
        (b"t.", "no mark"),
        (b"u.", "no mark"),
        (b"h\x05.", "remembers no value 5"),
        (b"N(Nu.", "key lacks"),
        (b"N(NNu.", "dictionary"),
        (b"N(Ne.", "list"),
        (b"q\x00.", "below its stack"),
        (b"\x80\x09N.", "protocol 9"),
        (b"\x82\x01.", "0x82"),
        (b"Pid\n.", "0x50"),
        (b"NQ.", "tuple"),
        (b"X\x01\x00\x00\x00\xff.", "UTF-8"),
        (b"N}b.", "state"),
        (b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85Rcnumpy.core.multiarray\nscalar\nh\x00.", "remembers"),
    ] {
        let error = Checkpoint::read(&archive(pickle, &[])).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(word), "{}: {error}", pickle.escape_ascii());
    }
}

#[test]
fn numbers_of_numpy_are_read() {
    // numpy.float64(0.25) as protocol 2 writes it.
    let mut pickle = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb".to_vec();
    pickle.extend(b"c_codecs\nencode\n(X\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc3\x90?X\x06\x00\x00\x00latin1tRtR.");
    let bytes = archive(&pickle, &[]);
    assert_eq!(Checkpoint::read(&bytes).unwrap().root().as_f64(), Some(0.25));
    // numpy.array([[1, -2]], dtype=int16)
    let mut pickle =
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(K\x01K\x02t".to_vec();
    pickle.extend(b"cnumpy\ndtype\n(X\x02\x00\x00\x00i2\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
    pickle.extend(b"\x89C\x04\x01\x00\xfe\xfftb.");
    let bytes = archive(&pickle, &[]);
    assert_eq!(Checkpoint::read(&bytes).unwrap().root().kind(), Kind::Array(&[1, 2], &[1.0, -2.0]));
}

#[test]
fn prefixes_of_wrapped_networks_are_taken_off() {
    let pickle = one_tensor("FloatStorage", "0", 1, 0, &[1], &[1]);
    let renamed = |name: &str| {
        let mut p = b"\x80\x02}X".to_vec();
        p.extend((name.len() as u32).to_le_bytes());
        p.extend(name.bytes());
        p.extend(&pickle[9..]);
        archive(&p, &[("0", &[0; 4])])
    };
    for name in ["module.a.b", "_orig_mod.a.b", "module._orig_mod.a.b", "a.b"] {
        assert!(tensors(&renamed(name)).unwrap().contains_key("a.b"), "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_do_more_than_fail(pickle in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = tensors(&archive(&pickle, &[("0", &[0; 64])]));
    }

    #[test]
    fn no_changed_byte_does_more_than_fail(at in any::<prop::sample::Index>(), to in any::<u8>(), whole in any::<bool>()) {
        let mut pickle = one_tensor("FloatStorage", "0", 16, 0, &[4, 4], &[4, 1]);
        if !whole {
            let at = at.index(pickle.len());
            pickle[at] = to;
        }
        let mut bytes = archive(&pickle, &[("0", &[0; 64])]);
        if whole {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let _ = tensors(&bytes);
    }
}
