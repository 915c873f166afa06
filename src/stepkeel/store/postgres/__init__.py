"""The store on PostgreSQL: many workers, one truth."""
