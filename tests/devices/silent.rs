//! A filesystem whose server never answers: FUSE with nobody behind it, which is as dead as NFS can be. A real NFS server that goes
//! away is in `node/mounts.rs`.

use std::time::{Duration, Instant};

use super::apart::Apart;

#[test]
fn a_dead_server_is_named_and_holds_up_nothing_else() {
    let apart = Apart::new();
    let base = apart.path().display().to_string();
    let mount = "mount -i -t fuse.sshfs -o fd=3,rootmode=40000,user_id=0,group_id=0 files:/srv";
    let apart = apart.before(&format!(
        "mkdir -p {base}/mnt {base}/other\nln -sfn mnt/in {base}/link\nexec 3<>/dev/fuse\n{mount} {base}/mnt"
    ));
    let resources = format!(
        "  - mount: {{ path: {base}/mnt, device: \"files:/srv\", type: fuse.sshfs, persist: false }}\n  \
           - directory: {{ path: {base}/mnt/in }}\n  \
           - file: {{ path: {base}/link/file, content: x }}\n  \
           - mount: {{ path: {base}/mnt/deeper, device: none, type: tmpfs, persist: false }}\n  \
           - file: {{ path: {base}/other/file, content: independent }}\n  \
           - mount: {{ path: {base}/other/mnt, device: none, type: tmpfs, persist: false }}\n"
    );
    let begun = Instant::now();
    let ended = apart.glrl("converge", &resources);
    assert!(
        begun.elapsed() < Duration::from_secs(35),
        "it took {:?}: {}",
        begun.elapsed(),
        ended.said
    );
    assert_eq!(ended.status, Some(1), "{}", ended.said);
    let silent = format!("the server of files:/srv, mounted on {base}/mnt, has not answered for 10 s");
    assert!(ended.said.contains(&silent), "{}", ended.said);
    assert!(ended.said.contains("changed 2"), "{}", ended.said);
    let independent = std::fs::read_to_string(format!("{base}/other/file"));
    assert_eq!(independent.expect("a file"), "independent");

    // What is to go is not asked; umount(8) has its own time.
    let properties = format!("path: {base}/mnt, device: \"files:/srv\", type: fuse.sshfs, state: absent");
    let begun = Instant::now();
    let ended = apart.glrl("plan", &format!("  - mount: {{ {properties} }}\n"));
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "it took {:?}",
        begun.elapsed()
    );
}
