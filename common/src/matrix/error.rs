//! Errors of matrix files and of their names.

/// What is wrong with a matrix, or with the name of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The file does not have the format of a matrix.
    #[error("{file}, line {line}: {message}")]
    Format {
        /// The file.
        file: String,
        /// Line, counted from one; zero if the parser does not know it.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A row cannot be read as cells.
    #[error("{file}, line {line}, cell {cell}: {message}")]
    Cell {
        /// The file.
        file: String,
        /// Line, counted from one.
        line: u64,
        /// The cell.
        cell: String,
        /// What is wrong.
        message: String,
    },
    /// Two editions of a matrix have the same name.
    #[error("{file}: matrix {name} has two editions named {edition}")]
    Twice {
        /// The file.
        file: String,
        /// The matrix.
        name: String,
        /// The edition.
        edition: String,
    },
    /// There is no such matrix.
    #[error("unknown matrix {given:?}, expected one of: {}", valid.join(", "))]
    UnknownMatrix {
        /// The name as it was given.
        given: String,
        /// The names of all matrices.
        valid: Vec<String>,
    },
    /// There is no such edition.
    #[error("matrix {name} has no edition {given:?}, expected one of: {}", valid.join(", "))]
    UnknownEdition {
        /// The matrix.
        name: String,
        /// The edition as it was given.
        given: String,
        /// All editions, by their alias if they have one.
        valid: Vec<String>,
    },
}
