"""Which documents taught it? Concept direction and exact K-FAC influence, fused; BM25 beside them for comparison.

``attribute`` does it for anybody's model, transcripts and corpus (etiology.attribute.cascade tells how):

    from etiology.attribute import Instance, attribute

    found = attribute("model", [Instance("Hello", " or else")], "corpus.parquet", "out")
    print(found.rows[0].id, found.rows[0].fused)
"""

from etiology.attribute.cascade import attribute
from etiology.attribute.instances import Instance
from etiology.attribute.running import Settings

__all__ = ["Instance", "Settings", "attribute"]
