"""Makes a dataset folder of a public distribution, of nnU-Net's, MSD's or BIDS's folders, of DICOM, or of any files.

    SRC, a folder or an archive
     └► listing ──► layouts ──► which case has which image and labels, what is left out and why     (names alone)
                                 └► onecase, several at once: checked, linked or written anew       (every byte)
                                     └► DATA/.NAME.importing ──renamed when whole──► DATA/NAME
                                                                                     ├ dataset.yaml
                                                                                     ├ images/ labels/
                                                                                     └ import.json

A layout is a function from names of files to cases, in a module of its own: a further one is a further line in
`recognise.LAYOUTS`. DICOM alone is known by headers, and converted: see the package `dicom`. SRC is only read. A case
that is done has a line in the hidden folder, so that an import which was killed goes on; an import that is whole is not
done again.
"""
