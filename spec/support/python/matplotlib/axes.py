import datetime


class Text:
    def __init__(self, text):
        self._text = str(text)

    def get_text(self):
        return self._text


class Line2D:
    def __init__(self, xs, ys, label):
        self._xs, self._ys, self._label = xs, ys, label

    def get_xdata(self, orig=True):
        return self._xs

    def get_ydata(self, orig=True):
        return self._ys

    def get_label(self):
        return self._label


class PathCollection:
    def __init__(self, points, label):
        self._points, self._label = points, label

    def get_offsets(self):
        return self._points

    def get_label(self):
        return self._label


class Rectangle:
    def __init__(self, x, height):
        self._x, self._height = x, height

    def get_x(self):
        return self._x - 0.4

    def get_width(self):
        return 0.8

    def get_height(self):
        return self._height


class BarContainer:
    orientation = "vertical"

    def __init__(self, patches, label):
        self.patches, self._label = patches, label

    def get_label(self):
        return self._label


class Wedge:
    def __init__(self, theta1, theta2, label):
        self.theta1, self.theta2, self.r, self._label = theta1, theta2, 1, label

    def get_label(self):
        return self._label


class DateConverter:
    pass


class StrCategoryConverter:
    pass


class Axis:
    def __init__(self):
        self.converter, self.ticks, self.scale = None, [0.0, 1.0], "linear"
        self.labels = ["0", "1"]

    def see(self, values):
        if isinstance(values[0], datetime.date):
            self.converter = DateConverter()
        elif isinstance(values[0], str):
            self.converter = StrCategoryConverter()
            self.ticks, self.labels = list(range(len(values))), values

    def get_major_formatter(self):
        return None

    def get_scale(self):
        return self.scale

    def get_ticklocs(self):
        return self.ticks

    def get_ticklabels(self):
        return [Text(label) for label in self.labels]


class Axes:
    def __init__(self):
        self.xaxis, self.yaxis = Axis(), Axis()
        self.lines, self.collections, self.containers, self.patches = [], [], [], []
        self.title = self.xlabel = self.ylabel = ""

    def plot(self, xs, ys, label="line"):
        self.xaxis.see(xs)
        self.lines.append(Line2D(xs, ys, label))

    def scatter(self, xs, ys, label="dots"):
        self.collections.append(PathCollection(list(zip(xs, ys)), label))

    def bar(self, names, heights, label="bars"):
        self.xaxis.see(names)
        bars = [Rectangle(i, height) for i, height in enumerate(heights)]
        self.containers.append(BarContainer(bars, label))
        self.patches.extend(bars)

    def pie(self, sizes, labels):
        angle = 0
        for size, label in zip(sizes, labels):
            self.patches.append(Wedge(angle, angle + 360 * size / sum(sizes), label))
            angle = self.patches[-1].theta2

    def bxp(self, bxpstats):
        self.lines.append(Line2D([1], [bxpstats[0]["med"]], "median"))

    def set_title(self, text):
        self.title = text

    def set_xlabel(self, text):
        self.xlabel = text

    def get_title(self):
        return self.title

    def get_xlabel(self):
        return self.xlabel

    def get_ylabel(self):
        return self.ylabel

    def get_lines(self):
        return self.lines

    def get_xticks(self):
        return self.xaxis.ticks

    def get_yticks(self):
        return self.yaxis.ticks

    def get_xticklabels(self):
        return self.xaxis.get_ticklabels()

    def get_yticklabels(self):
        return self.yaxis.get_ticklabels()
