"""Python -> definition: workflow classes, states, activities, nodes, and the checks of all that."""
