#!/usr/bin/env python3
"""Fills fuzz/corpus from the recorded conversations, from fuzz/seeds and with the attacks that we know. Usage: fuzz/seed.py"""

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


def lists(count, one):
    """A count, below 128 or of two bytes, and as many times the same bytes."""
    size = [count] if count < 128 else [count & 0x7F | 0x80, count >> 7]
    return bytes(size) + one * count


def attacks():
    """Updates that cost a reader more than their length, in pairs: what the doc holds, and what comes next."""
    writer = b"\x01\x01\x07\x00"
    tokens = b"\x01\x06tokens"
    entry = b"\x28" + tokens + b"\x01k\x01"
    one = writer + entry + b"\x77\x01v\x00"
    array = writer + entry + b"\x75"
    yield b"\x00\x00", array + lists(1000, b"\x76\x00") + b"\x00"  # objects
    yield b"\x00\x00", array + lists(3000, b"\x7e") + b"\x00"  # nulls
    yield b"\x00\x00", lists(1000, b"\x00\x07\x00") + b"\x00"  # clients without structs
    yield b"\x00\x00", b"\x00" + lists(1000, b"\x07\x00")  # deletions of nothing
    yield b"\x00\x00", writer + b"\x28" + tokens + lists(1025, b"k") + b"\x01\x7e\x00"
    yield one, b"\x00\x00"
    yield one, one
    yield one, b"\x00\x01\x07\x01\x00\x01"  # drops the entry
    yield one, b"\x01\x01\x07\x01\xa8\x07\x00\x01\x77\x01w\x01\x07\x01\x00\x01"  # overwrites it
    yield one, b"\x01\x01\x05\x00" + entry + b"\x77\x01w\x00"  # loses against it


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
    for first, second in attacks():
        add("update_check_then_apply", bytes([len(first)]) + first + second)
    for (_, sender), messages in conversations.items():
        receiver = {"device": "socket", "server": "device"}[sender]
        add(f"{receiver}_conversation", messages)
    for folder in (HERE / "seeds").iterdir():
        for seed in folder.iterdir():
            add(folder.name, seed.read_bytes().removesuffix(b"\n"))


if __name__ == "__main__":
    main()
