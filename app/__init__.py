"""The page in the browser: every stage of the road, to be played with. `python -m app` opens it."""
