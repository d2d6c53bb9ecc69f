"""Works that the methods section cites, each in one line."""

STUDY = (
    "Jaus, Marinov, Seibold, Reiß, Kleesiek, Stiefelhagen. Good Enough: Is it Worth Improving your Label Quality? "
    "arXiv:2505.20928 (2025)"
)
DICE = (
    "Dice. Measures of the amount of ecologic association between species. Ecology 26(3), 297-302 (1945). "
    "doi 10.2307/1932409"
)
SURFACE_DICE = (
    "Nikolov, Blackwell, Zverovitch, Mendes, Livne, De Fauw, Patel, Meyer, Askham, Romera-Paredes et al. Deep learning "
    "to achieve clinically applicable segmentation of head and neck anatomy for radiotherapy. arXiv:1809.04430 (2018)"
)
DYNUNET = (
    "Isensee, Jäger, Kohl, Petersen, Maier-Hein. Automated design of deep learning methods for biomedical image "
    "segmentation. arXiv:1904.08128 (2019)"
)
ADAMW = (
    "Loshchilov, Hutter. Decoupled weight decay regularization. International Conference on Learning Representations "
    "(2019)"
)
HALL = (
    "Hall. On the removal of skewness by transformation. Journal of the Royal Statistical Society B 54(1), 221-228 "
    "(1992)"
)
BELL_MCCAFFREY = (
    "Bell, McCaffrey. Bias reduction in standard errors for linear regression with multi-stage samples. Survey "
    "Methodology 28(2), 169-181 (2002)"
)
NADEAU_BENGIO = (
    "Nadeau, Bengio. Inference for the generalization error. Machine Learning 52(3), 239-281 (2003). "
    "doi 10.1023/A:1024068626366"
)
TOST = (
    "Schuirmann. A comparison of the two one-sided tests procedure and the power approach for assessing the "
    "equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15(6), 657-680 (1987). "
    "doi 10.1007/BF01068419"
)
