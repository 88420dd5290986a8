"""Requests and answers as SageMaker's data capture keeps them, a line of JSON each."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import urllib3

from fraud_utils.local_sagemaker.storage import Writer

CONTENT_TYPE, INFERENCE_ID = "content-type", "x-amzn-sagemaker-inference-id"  # headers


def write(
    writer: Writer,
    options: Mapping[str, Any],
    place: str,
    asked: tuple[bytes, Mapping[str, str]],
    answer: urllib3.BaseHTTPResponse,
) -> None:
    """Keep a request, of body and headers, and its answer under an address in S3, as a DataCaptureConfig says."""
    body, headers = asked
    modes = {option["CaptureMode"] for option in options["CaptureOptions"]}
    texts = options.get("CaptureContentTypeHeader", {})
    data = {}
    for mode, content, media in (
        ("Input", body, headers.get(CONTENT_TYPE, "")),
        ("Output", answer.data, answer.headers[CONTENT_TYPE]),
    ):
        if modes & {mode, "InputAndOutput"}:
            encoding = "CSV" if media in texts.get("CsvContentTypes", []) else "BASE64"
            encoding = "JSON" if media in texts.get("JsonContentTypes", []) else encoding
            text = (base64.b64encode(content) if encoding == "BASE64" else content).decode(errors="replace")
            part = {"observedContentType": media, "mode": mode.upper(), "data": text, "encoding": encoding}
            data[f"endpoint{mode}"] = part
    now = datetime.now(UTC)
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    if identity := headers.get(INFERENCE_ID):
        event["inferenceId"] = identity
    line = json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"})
    writer.capture(f"{place}/{now:%Y/%m/%d/%H}", line + "\n")
