"""The resource of the contract's `record-stage` under the name by which componentize-py looks for it."""

from etl_host_app import Instance
