# SPDX-License-Identifier: MIT
"""bench/judge - runs workloads on libraries, estimates ratios, draws the page"""
