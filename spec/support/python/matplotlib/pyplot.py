import base64

from matplotlib.axes import Axes

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY"
    "42YAAAAASUVORK5CYII=")

_figures = {}


class Figure:
    def __init__(self):
        self.axes, self._suptitle = [], None

    def get_axes(self):
        return self.axes

    def savefig(self, file, format):
        file.write(PNG)


def figure(number=None):
    number = number or len(_figures) + 1
    return _figures.setdefault(number, Figure())


def subplots(count=1):
    new = figure()
    new.axes = [Axes() for _ in range(count)]
    return new, new.axes[0] if count == 1 else new.axes


def get_fignums():
    return sorted(_figures)


def close(figure):
    for number, other in list(_figures.items()):
        if other is figure:
            del _figures[number]


def show():
    raise RuntimeError("there is no display")
