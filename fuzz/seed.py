#!/usr/bin/env python3
"""Fills fuzz/corpus from the recorded conversations and from fuzz/seeds. Usage: fuzz/seed.py"""

import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "device-proto/tests/hocuspocus-vectors.json"


def add(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def updates(step):
    """The Yjs updates in a step, by what the recording says about its pieces."""
    pieces = step["decoded"]["bytes"]
    kinds = [piece["is"] for piece in pieces]
    starts = [i for i, kind in enumerate(kinds) if kind.startswith("update: clients")]
    return [bytes.fromhex("".join(piece["hex"] for piece in pieces[i:])) for i in starts]


def main():
    conversations = {}
    earlier = b""
    for step in json.loads(VECTORS.read_text(encoding="utf-8")):
        frame = bytes.fromhex(step["hex"])
        sender = "device" if step["direction"].startswith("client") else "server"
        add(f"frame_from_{sender}", frame)
        scenario = step["name"].split("/")[0]
        if len(frame) < 256:
            conversations[scenario, sender] = (
                conversations.get((scenario, sender), b"") + bytes([len(frame)]) + frame
            )
        for update in updates(step):
            add("update_check_then_apply", bytes([len(earlier)]) + earlier + update)
            earlier = update
    for (_, sender), messages in conversations.items():
        receiver = {"device": "socket", "server": "device"}[sender]
        add(f"{receiver}_conversation", messages)
    for folder in (HERE / "seeds").iterdir():
        for seed in folder.iterdir():
            add(folder.name, seed.read_bytes().removesuffix(b"\n"))


if __name__ == "__main__":
    main()
