"""The audit of the given labels, which are what a user doubts: `coordinator dataset check`.

inspection   a case's image and labels, read once and measured    files/     files, grids, intensities, slices
audit        all cases: in processes, then judged together        anatomy/   organs: sides, shapes, values, places
findings     what is wrong or odd, worst first                    checks, duplicates   what the check knows already
repairs      what is certain, mended in a new folder              cache      what was read, kept for the next time
"""
