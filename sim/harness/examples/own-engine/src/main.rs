//! `quorate` with one more engine.

mod turn;

fn main() -> std::process::ExitCode {
    quorate::program()
        .with_engine::<turn::Turn>(
            "turn",
            "Leaders take turns and nobody votes: final after blocks of a majority.",
        )
        .main()
}
