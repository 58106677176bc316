//! What then becomes of the connection between nodes.
