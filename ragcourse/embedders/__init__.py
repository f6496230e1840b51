"""Text to vectors. Every embedder answers ``embed(texts) -> (n, dim) float32`` with rows of unit length.

=============================  =================================================  =====================
embedder                       what it is                                         needs
=============================  =================================================  =====================
`StaticEmbedder`               the default: a table of token vectors, averaged    nothing
`SentenceTransformerEmbedder`  a transformer in this process                      sentence-transformers
`OpenAIEmbedder`               any server that speaks OpenAI's embeddings API     a server
`CachedEmbedder`               one of the above, with its vectors kept on disk    a file
=============================  =================================================  =====================

Rows of unit length make inner product, cosine and L2 rank alike, so that a store may use any of them.
"""

from ragcourse.embedders.base import Embedder
from ragcourse.embedders.cached import CachedEmbedder
from ragcourse.embedders.openai import OpenAIEmbedder
from ragcourse.embedders.static import StaticEmbedder
from ragcourse.embedders.transformer import SentenceTransformerEmbedder

__all__ = [
    "CachedEmbedder",
    "Embedder",
    "OpenAIEmbedder",
    "SentenceTransformerEmbedder",
    "StaticEmbedder",
]
