"""How the pages of this folder become a site: `make docs`, then open `build/docs/index.html`."""

from sim2real import __version__

project = "sim2real"
author = "the sim2real authors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_ivar = True  # else the attributes of a dataclass would be described twice
default_role = "code"  # docstrings put names in single backticks

html_theme = "furo"
html_title = "sim2real"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
