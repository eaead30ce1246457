"""What the pages say of each result: from finished records to named values and tables.

Every number is of the report's own making (`sim2real.report`); here it is only chosen and put into words.
"""
