//! Optimal assignment of tracks to detections over a sparse set of candidate pairs.
//!
//! Shortest augmenting paths with dual prices (Jonker and Volgenant, *A shortest augmenting path algorithm for dense
//! and sparse linear assignment problems*, Computing 38, 1987). Each row also has a private "stay alone" column of gain
//! zero, so that the result is the set of pairs with the greatest sum of gains, of whatever size. A search never leaves
//! the rows and columns that its row is connected to by candidates, so the cubic worst case is that of the largest
//! crowd, not that of the picture.

/// Room for candidates is made for so many a column at once, so that a denser moment later needs no more.
const USUAL_CANDIDATES: usize = 8;

/// The solver with its working memory; reused, it does not allocate once it has seen the largest problem.
#[derive(Debug, Default)]
pub struct Assigner {
    /// Where each row's candidates begin in `edges`; one entry more than rows begun.
    starts: Vec<usize>,
    edges: Vec<Edge>,
    row_price: Vec<f64>,
    columns: Vec<Column>,
    column_of_row: Vec<Option<usize>>,
    /// Columns that the search in hand has reached.
    reached: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    column: usize,
    cost: f64,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    price: f64,
    row: Option<usize>,
    distance: f64,
    via_row: usize,
    scanned: bool,
}

impl Column {
    const FREE: Self = Self { price: 0.0, row: None, distance: f64::INFINITY, via_row: 0, scanned: false };
}

/// Where a shortest path ends.
#[derive(Clone, Copy)]
enum End {
    /// This row stays alone.
    Alone(usize),
    /// At this column, which is free.
    Column(usize),
}

impl Assigner {
    /// Forgets the last problem and begins one with `columns` columns and no row.
    pub fn begin(&mut self, columns: usize) {
        self.starts.clear();
        self.edges.clear();
        self.columns.clear();
        self.columns.resize(columns, Column::FREE);
        self.reached.reserve(columns);
        self.edges.reserve(columns * USUAL_CANDIDATES);
    }

    /// Begins the next row; [`Assigner::candidate`] then adds to it.
    pub fn row(&mut self) {
        self.starts.push(self.edges.len());
    }

    /// Allows the pair of the row in hand and `column`. Pairs without a positive, finite `gain` are never worth taking
    /// and are left out, and so is a column that does not exist.
    pub fn candidate(&mut self, column: usize, gain: f64) {
        if gain > 0.0 && gain.is_finite() && column < self.columns.len() {
            self.edges.push(Edge { column, cost: -gain });
        }
    }

    /// Finds the set of pairs with the greatest sum of gains.
    pub fn solve(&mut self) {
        let rows = self.starts.len();
        self.starts.push(self.edges.len());
        self.row_price.clear();
        self.row_price.resize(rows, 0.0);
        self.column_of_row.clear();
        self.column_of_row.resize(rows, None);
        for row in 0..rows {
            if self.starts[row] < self.starts[row + 1] {
                self.augment(row);
            }
        }
    }

    /// The column that `row` was given.
    pub fn column_of(&self, row: usize) -> Option<usize> {
        self.column_of_row.get(row).copied().flatten()
    }

    /// The row that `column` was given to.
    pub fn row_of(&self, column: usize) -> Option<usize> {
        self.columns.get(column).and_then(|c| c.row)
    }

    /// Adds `row` to the assignment along the cheapest alternating path.
    fn augment(&mut self, row: usize) {
        let (end, length) = self.shortest_path(row);
        self.row_price[row] += length;
        for &index in &self.reached {
            let column = &mut self.columns[index];
            if column.scanned
                && let Some(owner) = column.row
            {
                self.row_price[owner] += length - column.distance;
                column.price -= length - column.distance;
            }
        }
        match end {
            End::Column(column) => self.flip(row, column),
            End::Alone(last) => {
                if let Some(column) = self.column_of_row[last].take() {
                    self.flip(row, column);
                }
            }
        }
        for index in self.reached.drain(..) {
            let column = &mut self.columns[index];
            column.distance = f64::INFINITY;
            column.scanned = false;
        }
    }

    /// Dijkstra's search from a new row over reduced costs, to the nearest free column or row that may stay alone.
    fn shortest_path(&mut self, start: usize) -> (End, f64) {
        let (mut row, mut travelled) = (start, 0.0);
        let mut alone = (start, f64::INFINITY);
        loop {
            let stop = travelled - self.row_price[row];
            if stop < alone.1 {
                alone = (row, stop);
            }
            self.relax(row, travelled);
            let Some(nearest) = self.nearest_unscanned() else { return (End::Alone(alone.0), alone.1) };
            let column = &mut self.columns[nearest];
            if column.distance >= alone.1 {
                return (End::Alone(alone.0), alone.1);
            }
            match column.row {
                None => return (End::Column(nearest), column.distance),
                Some(owner) => {
                    column.scanned = true;
                    (row, travelled) = (owner, column.distance);
                }
            }
        }
    }

    /// Lowers the distance of every column that `row` leads to.
    fn relax(&mut self, row: usize, travelled: f64) {
        let base = travelled - self.row_price[row];
        for edge in &self.edges[self.starts[row]..self.starts[row + 1]] {
            let column = &mut self.columns[edge.column];
            let distance = base + edge.cost - column.price;
            if column.scanned || distance >= column.distance {
                continue;
            }
            if column.distance == f64::INFINITY {
                self.reached.push(edge.column);
            }
            column.distance = distance;
            column.via_row = row;
        }
    }

    fn nearest_unscanned(&self) -> Option<usize> {
        let open = self.reached.iter().copied().filter(|&index| !self.columns[index].scanned);
        open.min_by(|&a, &b| self.columns[a].distance.total_cmp(&self.columns[b].distance))
    }

    /// Gives `column` to the row that reached it, that row's old column to the row before, and so on up to `start`.
    fn flip(&mut self, start: usize, mut column: usize) {
        loop {
            let row = self.columns[column].via_row;
            self.columns[column].row = Some(row);
            let former = self.column_of_row[row].replace(column);
            match former {
                Some(next) if row != start => column = next,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn solve(gains: &[Vec<f64>], columns: usize) -> (Assigner, f64) {
        let mut assigner = Assigner::default();
        let mut total = 0.0;
        for _ in 0..2 {
            assigner.begin(columns);
            for row in gains {
                assigner.row();
                row.iter().enumerate().for_each(|(column, &gain)| assigner.candidate(column, gain));
            }
            assigner.solve();
            let pairs = gains.iter().enumerate().filter_map(|(r, row)| assigner.column_of(r).map(|c| row[c]));
            total = pairs.sum();
        }
        (assigner, total)
    }

    fn best_by_trying_all(gains: &[Vec<f64>], taken: u32) -> f64 {
        let Some((first, rest)) = gains.split_first() else { return 0.0 };
        let free = |c: &usize| taken & (1 << c) == 0;
        let pairs = (0..first.len()).filter(free).filter(|&c| first[c] > 0.0);
        let paired = pairs.map(|c| first[c] + best_by_trying_all(rest, taken | (1 << c)));
        paired.fold(best_by_trying_all(rest, taken), f64::max)
    }

    #[test]
    fn a_greedy_choice_is_undone_where_the_sum_gains() {
        let (assigner, total) = solve(&[vec![0.9, 0.8], vec![0.8, 0.0]], 2);
        assert_eq!((assigner.column_of(0), assigner.column_of(1)), (Some(1), Some(0)));
        assert!((total - 1.6).abs() < 1e-12);
    }

    #[test]
    fn a_row_stays_alone_rather_than_cost_the_others() {
        let (assigner, _) = solve(&[vec![0.9], vec![1.0], vec![0.5]], 1);
        assert_eq!(assigner.row_of(0), Some(1));
        assert_eq!((assigner.column_of(0), assigner.column_of(2)), (None, None));
    }

    #[test]
    fn nothing_to_assign_is_fine() {
        assert_eq!(solve(&[], 3).1, 0.0);
        assert_eq!(solve(&[vec![], vec![]], 0).1, 0.0);
    }

    proptest! {
        #[test]
        fn as_good_as_trying_all(
            gains in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0.0), 0.01f64..1.0], 5), 0..6)
        ) {
            let (assigner, total) = solve(&gains, 5);
            prop_assert!((total - best_by_trying_all(&gains, 0)).abs() < 1e-9);
            for row in 0..gains.len() {
                if let Some(column) = assigner.column_of(row) {
                    prop_assert_eq!(assigner.row_of(column), Some(row));
                }
            }
        }
    }
}
