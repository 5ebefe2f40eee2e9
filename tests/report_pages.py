"""Reports as HTML, read as text."""

import base64
import gzip
import json
import re
from typing import Any


def single_queries(page: str) -> list[dict[str, Any]]:
    """Of each dataset the values, the listed queries and their documents, which a page holds compressed."""
    packed = re.search(r'id="queries">([^<]*)<', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))
