"""DICOM: a folder of CT slices becomes a volume, and SEG or RTSTRUCT objects its labels, on the grid of the slices.

    files ──► headers ──► slices ──────────► series: its files in order, its grid, or what is wrong with it
                 │  └──► names of segments ─► label object: which series it is of, its organs
                 └──► personal values ──► naming: what cases may be called
                                              └► layout: which series has which label object     (headers alone)
    a case ──► volumes: dcm2niix ──► HU on that grid ──► a NIfTI file with nothing else in its header
          └──► segmentations, contours ──► masks ──► merged as masks of any layout                (every byte)

Nothing that a header says of a patient, a place, a time or a UID is written: not into files, and not into messages,
which are kept in import.json.
"""
