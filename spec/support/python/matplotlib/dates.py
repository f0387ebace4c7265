import datetime


def num2date(days):
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(days=days)
