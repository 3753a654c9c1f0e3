# SPDX-License-Identifier: MIT
"""tests/record_trace.py - reads recordings by docs/TRACE.md alone, and holds them to its rules"""

import os
import re
import struct

PACKET = 4096
HEAD = struct.Struct("<I16sIQQQQQQQII")
EXTENDED = 15
# id: name, fields with their bytes
EVENTS = {
    0: ("free", (("address", 6),)),
    1: ("malloc", (("address", 6), ("size", 2))),
    2: ("malloc", (("address", 6), ("size", 8))),
    3: ("calloc", (("address", 6), ("count", 2), ("size", 2))),
    4: ("calloc", (("address", 6), ("count", 8), ("size", 8))),
    5: ("aligned_alloc", (("address", 6), ("alignment", 2), ("size", 2))),
    6: ("aligned_alloc", (("address", 6), ("alignment", 8), ("size", 8))),
    7: ("realloc_begin", (("old", 6),)),
    8: ("realloc", (("address", 6), ("size", 2))),
    9: ("realloc", (("address", 6), ("size", 8))),
    10: ("thread_end", (("reserved", 1),)),
}
ALLOCATES = ("malloc", "calloc", "aligned_alloc")
GIVES_BACK = ("free", "realloc_begin")


class Broken(Exception):
    """The recording is not what docs/TRACE.md says."""


def need(truth, *what):
    if not truth:
        raise Broken(" ".join(str(word) for word in what))


class Event:
    __slots__ = ("time", "tid", "stream", "name", "served", "fields")

    def __init__(self, time, tid, stream, name, served, fields):
        self.time, self.tid, self.stream = time, tid, stream
        self.name, self.served, self.fields = name, served, fields

    def __repr__(self):
        return f"{self.time} {self.tid} {self.name} {self.fields} served {self.served}"


class Stream:
    def __init__(self, number):
        self.number, self.events, self.lost, self.bytes, self.end = number, [], 0, 0, 0
        self.first = None  # sequence of the first packet


def read_packet_events(data, start, end, begin_ns, tid, number, out):
    at, time = start, begin_ns
    while at < end:
        first = data[at]
        if first & 15 == EXTENDED:
            kind, time = first >> 4, struct.unpack_from("<Q", data, at + 1)[0]
            served = data[at + 9] & 15
            at += 10
        else:
            word = struct.unpack_from("<I", data, at)[0]
            kind, low, served = word & 15, word >> 4 & 0xFFFFFF, word >> 28
            time += (low - time) & 0xFFFFFF
            at += 4
        need(kind in EVENTS, "no such event:", kind)
        name, layout = EVENTS[kind]
        fields = {}
        for field, size in layout:
            fields[field] = int.from_bytes(data[at : at + size], "little")
            at += size
        out.append(Event(time, tid, number, name, served, fields))
    need(at == end, "an event reaches over the content's end")


def read_stream(path, uuid):
    with open(path, "rb") as file:
        data = file.read()
    need(len(data) % PACKET == 0, path, "ends within a packet:", len(data))
    stream = Stream(int(path.rsplit("-", 1)[1]))
    stream.bytes = len(data)
    last_end = last_sequence = None
    for at in range(0, len(data), PACKET):
        (magic, packet_uuid, stream_id, instance, begin, end, content, packet, sequence, lost, tid,
         events) = HEAD.unpack_from(data, at)
        need(magic == 0xC1FC1FC1 and packet == PACKET * 8, path, at, "is no packet")
        need(packet_uuid == uuid and stream_id == 0, path, at, "is of another trace")
        need(instance == stream.number, path, at, "is of stream", instance)
        need(HEAD.size * 8 <= content <= packet and content % 8 == 0, path, at, "content", content)
        need(last_end is None or begin >= last_end, path, at, "begins before the last one's end")
        need(last_sequence is None or sequence > last_sequence, path, at, "sequence")
        stream.first = sequence if stream.first is None else stream.first
        need(lost >= stream.lost, path, at, "losses become less")
        before = len(stream.events)
        read_packet_events(data, at + HEAD.size, at + content // 8, begin, tid, stream.number,
                           stream.events)
        need(len(stream.events) - before <= events, path, at, "says", events, "events")
        if len(stream.events) > before:
            need(stream.events[before].time == begin, path, at, "begin")
            need(stream.events[-1].time <= end, path, at, "end")
        last_end, last_sequence, stream.lost = end, sequence, lost
        stream.end = end
    return stream


class Trace:
    def __init__(self, folder):
        with open(os.path.join(folder, "metadata"), encoding="ascii") as file:
            self.metadata = file.read()
        self.uuid = re.search(r'uuid = "([0-9a-f-]*)"', self.metadata)[1]
        self.env = dict(re.findall(r'^\t(\w+) = "?([^";]*)"?;$',
                                   self.metadata.split("env {")[1].split("};")[0], re.M))
        names = sorted(name for name in os.listdir(folder) if name.startswith("stream-"))
        need(set(os.listdir(folder)) == {"metadata", *names}, folder, os.listdir(folder))
        uuid = bytes.fromhex(self.uuid.replace("-", ""))
        self.streams = [read_stream(os.path.join(folder, name), uuid) for name in names]
        ledger = self.streams.pop(names.index("stream-0"))
        need(not ledger.events, "stream 0 has events")
        self.complete, self.lost_elsewhere = ledger.end, ledger.lost
        self.lost = ledger.lost + sum(stream.lost for stream in self.streams)
        self.count = sum(len(stream.events) for stream in self.streams)

    def events(self):
        """All of them by time; where two have the same, those that give back come first."""
        merged = [event for stream in self.streams for event in stream.events]
        merged.sort(key=lambda event: (event.time, event.name not in GIVES_BACK))
        return merged

    def check(self, ring=False):
        """No address live twice, no end without its beginning, as long as the streams are complete. What
        lives then."""
        live, moving = {}, {}
        # Before, one of the rings may have overwritten the other end.
        start = max((stream.events[0].time for stream in self.streams if stream.first > 0),
                    default=0) if ring else 0
        for event in self.events():
            if event.time < start:
                continue
            if event.time > self.complete:
                break
            fields = event.fields
            if event.name != "realloc":
                need(event.stream not in moving or self.lost, event, "amid a realloc")
                moving.pop(event.stream, None)
            if event.name in GIVES_BACK:
                key = fields["address" if event.name == "free" else "old"]
                need(ring or key in live, event, "of a block that is not live")
                live.pop(key, None)
                if event.name == "realloc_begin":
                    moving[event.stream] = key
            elif event.name == "realloc":
                begun = moving.pop(event.stream, None)
                need(ring or self.lost or begun is not None, event, "without its begin")
                key = fields["address"] or begun
                need(key not in live, event, "gives a block that is live")
                if key is not None:
                    live[key] = fields["size"]
            elif event.name in ALLOCATES:
                need(fields["address"] not in live, event, "gives a block that is live")
                live[fields["address"]] = fields["size"]
        return live
