from .page import write_report as write_report
from .pdf import write_pdf as write_pdf
from .pictures import Pictures as Pictures
from .pictures import draw_pictures as draw_pictures
from .plots import plot_dvh as plot_dvh
from .plots import plot_slices as plot_slices
