//! The `visor` binary; see the library for the map of the program.

fn main() -> std::process::ExitCode {
    visor::cli::main()
}
