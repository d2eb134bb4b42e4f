"""An MCP server with one tool, over standard input and output."""

from mcp.server.fastmcp import FastMCP

HIGH_WATER = {"Brest": "05:42", "Saint-Malo": "07:55"}


def high_water(port: str) -> str:
    """When the next high water is at a port."""
    return HIGH_WATER.get(port, "unknown")


if __name__ == "__main__":
    server = FastMCP("tides", log_level="WARNING")
    server.add_tool(high_water)
    server.run()
