"""The machine's figures for Prometheus: `facts` gathers them, `exposition` writes them down, `server` hands them out.

Nothing is gathered while nobody asks, and the library for it is loaded with the first scrape.
"""
