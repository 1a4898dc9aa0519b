//! The binary `quorate`.

fn main() -> std::process::ExitCode {
    quorate::program().main()
}
