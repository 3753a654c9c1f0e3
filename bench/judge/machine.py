# SPDX-License-Identifier: MIT
"""bench/judge/machine.py - the machine that a run is made on, and memory that was touched before"""
import mmap
import os
import platform
import shutil
import subprocess


def _first(path, prefix=""):
    """What follows `prefix` in the first line of a file that begins with it; "" if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(prefix):
                    return line[len(prefix):].strip(" \t\n:")
    except OSError:
        pass
    return ""


def describe():
    """What of the machine has a say in the figures, as {name: text}."""
    huge = _first("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.machine(),
        "cpus": f"{len(os.sched_getaffinity(0))} " +
                ("virtual CPUs" if " hypervisor" in _first("/proc/cpuinfo", "flags") else "CPUs"),
        "memory": f"{int((_first('/proc/meminfo', 'MemTotal') or '0').split()[0]) / (1 << 20):.0f}"
                  " GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "huge pages": huge[huge.find("[") + 1:huge.find("]")] if "[" in huge else "unknown",
        "load at the start": " ".join(_first("/proc/loadavg").split()[:3]),
    }


def package_of(path):
    """Name and version of the Debian package that a file belongs to; "" elsewhere."""
    if not path or not shutil.which("dpkg-query"):
        return ""
    owner = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
    name = owner.stdout.split(": ")[0]
    if owner.returncode or not name:
        return ""
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", name],
                             capture_output=True, text=True)
    return version.stdout.strip() if version.returncode == 0 else ""


def warm_memory(most=3 << 30):
    """Touch memory once: a virtual machine gets each page from its host at the first touch."""
    available = int((_first("/proc/meminfo", "MemAvailable") or "0").split()[0]) << 10
    size = min(most, available // 2) & ~(mmap.PAGESIZE - 1)
    if size:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0x8000)
        mmap.mmap(-1, size, flags=flags).close()
