"""TotalSegmentator's own Python package, run offline, in one process, with each model loaded once.

image in RAS+ ── Nifti1Image ──► totalsegmentator() ──► label map
                                   │        ▲
     resampled to 1.5, 3 or 6 mm ──┘        └── resampled back
                 │                          │
                 └──► predictor.Predictors ─┘     used where the package makes an nnUNetPredictor

offline.py      the folders and variables that the package reads when it is imported: no downloads, no statistics
predictor.py    models that stay in memory, and nnU-Net without process pools
package.py      a case through the package
"""
