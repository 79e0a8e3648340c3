"""The entry of the pages: it registers them and nothing else; a page may also be opened without it."""

import streamlit as st

PAGES = [
    st.Page("pages/live_run.py", title="Live run", default=True),
    st.Page("pages/run_comparison.py", title="Run comparison"),
    st.Page("pages/report.py", title="Report"),
]

# The links between the pages are drawn by each page, so that they are there on a cold deep link as well.
st.navigation(PAGES, position="hidden").run()
