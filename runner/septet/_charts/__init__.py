"""Charts: stills as SVG without script, and over them a chart over time that pans and zooms."""
