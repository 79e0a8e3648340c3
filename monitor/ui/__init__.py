"""The only Streamlit of the package: caches, the frame of a page, blocks drawn by several pages."""
