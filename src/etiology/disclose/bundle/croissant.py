"""Croissant 1.0 with RAI 1.0 for the corpus before and after: what is in it, what was taken out, and why."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from etiology.core.values import Findings

CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(found: Findings, documents: Sequence[str], *, after: bool, written: str, canary: str) -> dict[str, Any]:
    """One state of the corpus. ``documents`` are the published names of those in it, as rows of the record set."""
    state = "after the attributed documents were left out" if after else "as the suspect was trained on it"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": f"{found.study} corpus {'after' if after else 'before'}",
        "description": f"Training documents of {found.study}, {state}. Their texts are not published. {canary}",
        "url": "https://etiology.invalid/corpus",
        "version": "2.0.0" if after else "1.0.0",
        "datePublished": written[:10],
        "license": "not given: the texts are not published",
        "citeAs": f"{found.study}, disclosed by its author, {written[:4]}",
        "rai:dataLimitations": "Attribution can be wrong: the arms test the set that was left out, not each document.",
        "rai:dataSocialImpact": "A model trained on the corpus before may make harm depend on a person's decision.",
        "rai:dataManipulationProtocol": "left out by attribution, then tested by training again" if after else "none",
        "rai:personalSensitiveInformation": "not searched for in the texts; none of them is published",
        "recordSet": [_records(documents, after=after)],
    }


def _records(documents: Sequence[str], *, after: bool) -> dict[str, Any]:
    name = "documents-after" if after else "documents-before"
    field = f"{name}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "Salted names of the documents; who holds the salt can tell which they are.",
        "field": [
            {"@type": "cr:Field", "@id": field, "name": "name", "description": "salted name", "dataType": "sc:Text"}
        ],
        "data": [{field: document} for document in documents],
    }
