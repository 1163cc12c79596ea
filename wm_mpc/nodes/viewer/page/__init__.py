"""The page in the browser, made with viser: each module is a part of it."""
