"""Files as people hold them: one reader a format, with errors that name the line. Knows no settings and no measures."""
