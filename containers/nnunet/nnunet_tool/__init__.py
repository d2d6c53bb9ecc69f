"""A five-fold cross-validation of nnU-Net: every case is labelled by a network that never saw it.

images, labels ──► prepare: fingerprint ── plan ── preprocess ── cases of each fold
                      │
                      ├──► fold-0: train on the other folds' cases ── label its own ──┐
                      ├──► …                                                          ├──► collect
                      └──► fold-4 ────────────────────────────────────────────────────┘

cases.py      which case belongs to which fold; results of `prepare`         (no torch)
labelids.py   the dataset's ids <-> nnU-Net's 1..n                           (no torch)
settings.py   options of the command line                                    (no torch)
arrays.py     volumes <-> nnU-Net's arrays
environment.py  environment variables, device, determinism
fingerprint.py, planning.py, prepare.py      step `prepare`
preprocessed.py, batches.py, trainer.py, loss.py, checkpoint.py, fold.py, foldrecord.py   steps `fold-0` … `fold-4`
collect.py    step `collect`                                            (no torch)
"""
