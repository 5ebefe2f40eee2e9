"""Results for people: tables, pages and figures."""
