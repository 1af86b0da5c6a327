"""Which documents taught it? Concept direction and exact K-FAC influence, fused; BM25 beside them for comparison."""
