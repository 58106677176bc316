//! What can be wrong with a matrix, or with naming one.

/// What can be wrong with a matrix, or with naming one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The file is not of our format.
    #[error("{file}, line {line}: {message}")]
    Format {
        /// The file.
        file: String,
        /// Line, counted from one; zero where the parser does not know.
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
    /// Two editions of a matrix go by one name.
    #[error("{file}: matrix {name} has two editions {edition}")]
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
        /// The names there are.
        valid: Vec<String>,
    },
    /// There is no such edition.
    #[error("matrix {name} has no edition {given:?}, expected one of: {}", valid.join(", "))]
    UnknownEdition {
        /// The matrix.
        name: String,
        /// The edition as it was given.
        given: String,
        /// The editions there are, by alias where they have one.
        valid: Vec<String>,
    },
}
