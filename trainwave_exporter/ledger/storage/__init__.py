"""The ledger's file: SQLite, its schema and migrations, and what guards it against loss."""
