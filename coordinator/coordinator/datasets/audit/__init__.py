"""The audit of the given labels, which are what a user doubts: `coordinator dataset check`.

    case ──► image and labels, read once ──► measures of the image's file, its voxels and each organ
    measures of all cases ──► judged alone, and against the other cases ──► findings, worst first
"""
