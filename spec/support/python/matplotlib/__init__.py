# A stand-in for matplotlib, for specs on machines without it: as much of its
# surface as the chart extractor looks at, and a one-pixel picture.
