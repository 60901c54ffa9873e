//! `lab`: nodes for humans and the demo.
fn main() -> anyhow::Result<()> {
    glrl_lab::Lab::build()
}
