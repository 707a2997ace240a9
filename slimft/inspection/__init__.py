"""Data looked at before anything trains on it: what is there, what is odd or broken, and what is there twice.

`data.open_data` finds the splits as bin/finetune would, and `looks.look_at` reads every image once; `search.search`
finds groups of the same picture (`duplicates`, by `likeness`). Of these `findings.find` makes figures, `text.lines`
text, `page.write_page` a web page. No TensorFlow.
"""
