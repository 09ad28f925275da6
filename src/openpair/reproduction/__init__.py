"""From the plans of a run to its results page: scores, intervals over seeds and scenes, tables, figures."""
