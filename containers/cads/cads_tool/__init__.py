"""CADS as its authors run it: nine networks of nnU-Net at 1.5 mm, each for a part of the body's structures.

image in RAS+ ── 1.5 mm ──► network 551 … 559 ──► without small parts ──► nine label maps in one ──► the image's voxels
                                  ▲                       │
                                  └── where a head is ◄───┘

parts.py       which of the tool's label ids are which network's
networks.py    networks that stay in memory, and nnU-Net without process pools
spacing.py     to the networks' spacing and back
cleaning.py    connected parts of a structure that are too small
head.py        where structures of head and neck may lie
layers.py      which structure lies over which
volume.py      a case
"""
