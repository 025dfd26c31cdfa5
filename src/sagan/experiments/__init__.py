"""The paper's questions as experiments: what is trained, what is measured, what comes out."""
